(******************************************************************************)
(*      How large the numbers are that could tell two networks apart          *)
(*                                                                            *)
(* The evaluator once more, on upper bounds of forms: the same powers and     *)
(* divisors, and a number of bits that no coefficient exceeds.  An integer of *)
(* so many bits has few prime divisors (few_bad_primes in freivalds.v).       *)
(*                                                                            *)
(*   bound == bits, power, divisor                                            *)
(*   gap A B ss == bits of every coefficient by which the forms of the two *)
(*              networks differ, brought to a common power and divisor        *)
(******************************************************************************)
Require Import List ZArith Bool Lia.
From AlgebraicCNN.checker Require Import evaluator rational.
Import ListNotations.
Open Scope Z_scope.

Record bound := Bound { bits : Z; bpower : Z; bbelow : positive }.
Definition size (c : Z) : Z := Z.log2_up (Z.abs c).
Definition badd (f g : bound) : bound :=
  let e := Z.min (bpower f) (bpower g) in
  let a := bpower f - e in
  let b := bpower g - e in
  if (bbelow f =? bbelow g)%positive
  then Bound (1 + Z.max (a + bits f) (b + bits g)) e (bbelow f)
  else Bound (1 + Z.max (a + size (Zpos (bbelow g)) + bits f) (b + size (Zpos (bbelow f)) + bits g)) e
             (bbelow f * bbelow g)%positive.
Definition bscale (k : number) (f : bound) : bound :=
  Bound (size (mantissa k) + bits f) (exponent k + bpower f) (divisor k * bbelow f)%positive.
Definition bnothing : bound := Bound 0 0 1.
Definition bounds (net : list (layer number)) (ss : list shape) : list bound :=
  output bnothing bnothing badd bscale net (cut ss (map (fun _ => bnothing) (inputs (entries ss)))).
Definition gap (A B : list (layer number)) (ss : list shape) : Z :=
  fold_right Z.max 0 (map (fun fg => bits (badd (fst fg) (snd fg))) (combine (bounds A ss) (bounds B ss))).
(* by how much two forms differ *)
Definition difference (f g : form) : list Z :=
  ladd (times (fst (common f g)) (terms f)) (times (- snd (common f g)) (terms g)).

Definition small (b : Z) (t : Z) : Prop := Z.abs t <= 2 ^ b.
Definition holds (f : form) (b : bound) : Prop :=
  power f = bpower b /\ below f = bbelow b /\ 0 <= bits b /\ Forall (small (bits b)) (terms f).

Lemma size_nonneg c : 0 <= size c. Proof. apply Z.log2_up_nonneg. Qed.
Lemma sizeP c : Z.abs c <= 2 ^ size c.
Proof.
unfold size. destruct (Z_le_gt_dec (Z.abs c) 0) as [L|G].
- assert (0 < 2 ^ Z.log2_up (Z.abs c)) by (apply Z.pow_pos_nonneg; [reflexivity|apply Z.log2_up_nonneg]). lia.
- apply Z.log2_log2_up_spec. lia.
Qed.
Lemma small_weaken a b t : a <= b -> small a t -> small b t.
Proof. unfold small. intros L H. apply Z.le_trans with (1 := H). apply Z.pow_le_mono_r; [reflexivity|exact L]. Qed.
Lemma small_mul a b c t : 0 <= a -> 0 <= b -> small a c -> small b t -> small (a + b) (c * t).
Proof. unfold small. intros A B C T. rewrite Z.abs_mul, Z.pow_add_r by assumption.
apply Z.mul_le_mono_nonneg; try assumption; apply Z.abs_nonneg. Qed.
Lemma small_times a b c l : 0 <= a -> 0 <= b -> small a c -> Forall (small b) l -> Forall (small (a + b)) (times c l).
Proof.
intros A B C F. unfold times. destruct (Z.eqb_spec c 1) as [_|_].
- eapply Forall_impl; [|exact F]. intros t. apply small_weaken. lia.
- induction F; simpl; constructor; [now apply small_mul|assumption].
Qed.
Lemma small_ladd b : 0 <= b -> forall l m, Forall (small b) l -> Forall (small b) m -> Forall (small (1 + b)) (ladd l m).
Proof.
intro B. assert (P : 2 ^ (1 + b) = 2 * 2 ^ b) by (rewrite Z.pow_add_r by lia; reflexivity).
assert (W : forall l, Forall (small b) l -> Forall (small (1 + b)) l).
{ intros l. apply Forall_impl. intros t. apply small_weaken. lia. }
induction l as [|x l IH]; intros [|y m] F G; cbn [ladd]; try (now apply W).
inversion F; inversion G; subst. constructor; [|now apply IH].
unfold small in *. rewrite P. lia.
Qed.
Lemma small_power a : 0 <= a -> small a (2 ^ a).
Proof. intro A. unfold small. rewrite Z.abs_eq by (apply Z.pow_nonneg; lia). lia. Qed.

Lemma difference_small f a g b : holds f a -> holds g b ->
  0 <= bits (badd a b) /\ Forall (small (bits (badd a b))) (difference f g)
  /\ Forall (small (bits (badd a b))) (ladd (times (fst (common f g)) (terms f)) (times (snd (common f g)) (terms g))).
Proof.
intros (Pf & Df & Nf & Ff) (Pg & Dg & Ng & Fg). unfold difference, common, badd. rewrite <- Pf, <- Pg, <- Df, <- Dg.
set (e := Z.min (power f) (power g)).
assert (A : 0 <= power f - e) by (unfold e; lia). assert (B : 0 <= power g - e) by (unfold e; lia).
assert (O : forall s t, small s t -> small s (- t)) by (unfold small; intros; now rewrite Z.abs_opp).
assert (Up : forall s t l, s <= t -> Forall (small s) l -> Forall (small t) l).
{ intros s t l L. apply Forall_impl. intros z. now apply small_weaken. }
assert (Sf := size_nonneg (Zpos (below g))). assert (Sg := size_nonneg (Zpos (below f))).
destruct (below f =? below g)%positive; cbn [bits fst snd].
- set (M := Z.max _ _). assert (0 <= M) by (unfold M; lia). split; [lia|].
  assert (F1 : Forall (small M) (times (2 ^ (power f - e)) (terms f))).
  { eapply Up; [|apply small_times; [| |apply small_power|exact Ff]]; unfold M; lia. }
  split; apply small_ladd; try assumption;
    (eapply Up; [|apply small_times; [| | |exact Fg]]; [| | |first [apply O, small_power|apply small_power]]; unfold M; lia).
- set (M := Z.max _ _). assert (0 <= M) by (unfold M; lia). split; [lia|].
  assert (Cf : small (power f - e + size (Zpos (below g))) (2 ^ (power f - e) * Zpos (below g)))
    by (apply small_mul; [lia|lia|now apply small_power|apply sizeP]).
  assert (Cg : small (power g - e + size (Zpos (below f))) (2 ^ (power g - e) * Zpos (below f)))
    by (apply small_mul; [lia|lia|now apply small_power|apply sizeP]).
  assert (F1 : Forall (small M) (times (2 ^ (power f - e) * Zpos (below g)) (terms f))).
  { eapply Up; [|apply small_times; [| |exact Cf|exact Ff]]; unfold M; lia. }
  split; apply small_ladd; try assumption;
    (eapply Up; [|apply small_times; [| | |exact Fg]]; [| | |first [apply O, Cg|exact Cg]]; unfold M; lia).
Qed.
Lemma holds_add f a g b : holds f a -> holds g b -> holds (fadd f g) (badd a b).
Proof.
intros F G. destruct (difference_small _ _ _ _ F G) as (N & _ & S).
destruct F as (Pf & Df & _), G as (Pg & Dg & _). revert N S.
unfold holds, fadd, badd. rewrite <- Pf, <- Pg, <- Df, <- Dg.
destruct (below f =? below g)%positive; cbn [power below bits bpower bbelow terms]; auto.
Qed.
Lemma holds_scale k f a : holds f a -> holds (fscale k f) (bscale k a).
Proof.
intros (P & D & N & F). unfold holds, fscale, bscale. cbn. rewrite P, D. split; [reflexivity|split; [reflexivity|split]].
- assert (S := size_nonneg (mantissa k)). lia.
- apply small_times; [apply size_nonneg|exact N|apply sizeP|exact F].
Qed.
Lemma bounds_hold net ss : Forall2 holds (forms net ss) (bounds net ss).
Proof.
unfold forms, bounds. rewrite <- (map_layer_id net) at 2.
apply output_rel with (fine := fun _ : number => True).
- split; [reflexivity|split; [reflexivity|split; [reflexivity || (cbn; lia)|constructor]]].
- split; [reflexivity|split; [reflexivity|split; [cbn; lia|]]]. constructor; [unfold small; cbn; lia|constructor].
- intros. now apply holds_add.
- intros. now apply holds_scale.
- apply all_fine.
- apply cut_rel. unfold inputs. rewrite map_map. apply rel_same. intro j.
  split; [reflexivity|split; [reflexivity|split; [cbn; lia|]]]. unfold unit. cbn [terms]. apply Forall_forall. intros z I.
  apply in_map_iff in I as [i [<- _]]. unfold small. destruct (Nat.eqb i (S j)); cbn; lia.
Qed.

(* if two networks differ, then by a whole number that is not 0 and has at most so many bits *)
Theorem gapP A B ss :
  Forall2 (fun f g => Forall (small (gap A B ss)) (difference f g))
          (firstn (length (forms B ss)) (forms A ss)) (firstn (length (forms A ss)) (forms B ss)).
Proof.
unfold gap. assert (a := bounds_hold A ss). assert (b := bounds_hold B ss). revert a b.
generalize (forms A ss) (forms B ss) (bounds A ss) (bounds B ss).
intros l m x y a. revert m y. induction a as [|f s l x Fs a IH]; intros m y b.
- rewrite firstn_nil. cbn. destruct m; constructor.
- destruct b as [|g t m y Gt b]; [constructor|]. cbn [length firstn combine map fold_right].
  destruct (difference_small _ _ _ _ Fs Gt) as (N & D & _).
  constructor.
  + eapply Forall_impl; [|exact D]. intros z. apply small_weaken. cbn. lia.
  + specialize (IH m y b). clear - IH.
    assert (Up : forall l m n q, n <= q -> Forall2 (fun f g => Forall (small n) (difference f g)) l m ->
                 Forall2 (fun f g => Forall (small q) (difference f g)) l m).
    { intros l0 m0 n q L H. induction H; constructor; auto. eapply Forall_impl; [|eassumption]. intros z. now apply small_weaken. }
    eapply Up; [|exact IH]. lia.
Qed.

Print Assumptions gapP.
