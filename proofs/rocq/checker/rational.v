(******************************************************************************)
(*      Networks over the rational numbers, decided wholly                    *)
(*                                                                            *)
(* A weight of a network is a fraction m 2^e / d, as every float is one.      *)
(* With affine forms in the place of numbers, the evaluator finds W and B;    *)
(* two networks with the same forms are the same function.                    *)
(*                                                                            *)
(*   number == mantissa, exponent of two, divisor                             *)
(*   run net ss X == what the network makes of the rational tensor X       *)
(*   form == the affine form (constant :: coefficients) 2^power / divisor     *)
(*   whole A B ss == the decision, to be run                               *)
(******************************************************************************)
Require Import List ZArith QArith Qpower Bool Lia.
From AlgebraicCNN.checker Require Import evaluator.
Import ListNotations.
Open Scope Z_scope.

Record number := Number { mantissa : Z; exponent : Z; divisor : positive }.
Definition fraction (m e : Z) (d : positive) : Q := (inject_Z m * (2 # 1) ^ e / inject_Z (Zpos d))%Q.
Definition rational (k : number) : Q := fraction (mantissa k) (exponent k) (divisor k).
Definition run (net : list (layer number)) (ss : list shape) (X : list Q) : list Q :=
  output 0%Q 1%Q Qplus (fun k v => (rational k * v)%Q) net (cut ss X).
(* the same function on tensors of a shape *)
Definition same (ss : list shape) (A B : list (layer number)) : Prop :=
  forall X, length X = entries ss -> Forall2 Qeq (run A ss X) (run B ss X).

Record form := Form { terms : list Z; power : Z; below : positive }.
Definition times (c : Z) (l : list Z) : list Z := if c =? 1 then l else map (Z.mul c) l.
Fixpoint ladd (a b : list Z) : list Z :=
  match a, b with x :: a', y :: b' => x + y :: ladd a' b' | [], _ => b | _, [] => a end.
(* what two forms are multiplied by to come to the same power and divisor *)
Definition common (f g : form) : Z * Z :=
  let e := Z.min (power f) (power g) in
  let a := 2 ^ (power f - e) in
  let b := 2 ^ (power g - e) in
  if (below f =? below g)%positive then (a, b) else (a * Zpos (below g), b * Zpos (below f)).
Definition fadd (f g : form) : form :=
  let c := common f g in
  Form (ladd (times (fst c) (terms f)) (times (snd c) (terms g))) (Z.min (power f) (power g))
       (if (below f =? below g)%positive then below f else below f * below g)%positive.
Definition fscale (k : number) (f : form) : form :=
  Form (times (mantissa k) (terms f)) (exponent k + power f) (divisor k * below f)%positive.
Fixpoint zeros (a : list Z) : bool := match a with [] => true | x :: a' => (x =? 0) && zeros a' end.
Definition eqform (f g : form) : bool :=
  let c := common f g in zeros (ladd (times (fst c) (terms f)) (times (- snd c) (terms g))).
Fixpoint eqforms (a b : list form) : bool :=
  match a, b with f :: a', g :: b' => eqform f g && eqforms a' b' | [], [] => true | _, _ => false end.
Definition unit (n j : nat) : form := Form (map (fun i => if Nat.eqb i j then 1 else 0) (seq 0 (S n))) 0 1.
Definition nothing : form := Form [] 0 1.
Definition constant : form := Form [1] 0 1.
Definition inputs (n : nat) : list form := map (fun j => unit n (S j)) (seq 0 n).
Definition forms (net : list (layer number)) (ss : list shape) : list form :=
  output nothing constant fadd fscale net (cut ss (inputs (entries ss))).
Definition whole (A B : list (layer number)) (ss : list shape) : bool := eqforms (forms A ss) (forms B ss).

Open Scope Q_scope.
Fixpoint dot (a : list Z) (x : list Q) : Q :=
  match a, x with p :: a', q :: x' => inject_Z p * q + dot a' x' | _, _ => 0 end.
Definition value (X : list Q) (f : form) : Q := dot (terms f) (1 :: X) * (2 # 1) ^ power f / inject_Z (Zpos (below f)).

Lemma two_nonzero : ~ (2 # 1) == 0. Proof. discriminate. Qed.
Lemma pos_nonzero d : ~ inject_Z (Zpos d) == 0. Proof. discriminate. Qed.
Lemma dot_times x c : forall a, dot (times c a) x == inject_Z c * dot a x.
Proof.
intro a. unfold times. destruct (Z.eqb_spec c 1) as [->|_]; [ring|].
revert x. induction a as [|p a IH]; intros [|q x]; cbn [map dot]; try ring.
rewrite IH, inject_Z_mult. ring.
Qed.
Lemma dot_add : forall a b x, dot (ladd a b) x == dot a x + dot b x.
Proof.
induction a as [|p a IH]; intros [|r b] [|q x]; cbn [ladd dot]; try ring.
rewrite IH, inject_Z_plus. ring.
Qed.
Lemma dot_zeros : forall a x, zeros a = true -> dot a x == 0.
Proof.
induction a as [|p a IH]; intros [|q x] H; cbn [zeros dot] in *; try reflexivity.
apply andb_prop in H as [E H]. apply Z.eqb_eq in E. rewrite (IH x H), E. ring.
Qed.
Lemma power_two n : (0 <= n)%Z -> inject_Z (2 ^ n) == (2 # 1) ^ n.
Proof. intro H. rewrite Qpower.Zpower_Qpower by exact H. reflexivity. Qed.
Lemma power_min a b : (2 # 1) ^ a == inject_Z (2 ^ (a - Z.min a b)) * (2 # 1) ^ Z.min a b.
Proof.
rewrite power_two by lia. rewrite <- Qpower_plus by exact two_nonzero. now replace (a - Z.min a b + Z.min a b)%Z with a by lia.
Qed.
(* brought to the common power and divisor *)
Lemma common_l X f g : value X f ==
  dot (times (fst (common f g)) (terms f)) (1 :: X) * (2 # 1) ^ Z.min (power f) (power g)
  / inject_Z (Zpos (below (fadd f g))).
Proof.
unfold value. rewrite dot_times, (power_min (power f) (power g)). unfold common, fadd; simpl.
destruct (Pos.eqb_spec (below f) (below g)) as [_|_]; cbn [fst snd].
- field. apply pos_nonzero.
- rewrite inject_Z_mult, Pos2Z.inj_mul, inject_Z_mult. field. split; apply pos_nonzero.
Qed.
Lemma common_r X f g : value X g ==
  dot (times (snd (common f g)) (terms g)) (1 :: X) * (2 # 1) ^ Z.min (power f) (power g)
  / inject_Z (Zpos (below (fadd f g))).
Proof.
unfold value. rewrite dot_times, (power_min (power g) (power f)), (Z.min_comm (power g)). unfold common, fadd; simpl.
destruct (Pos.eqb_spec (below f) (below g)) as [E|_]; cbn [fst snd].
- rewrite E. field. apply pos_nonzero.
- rewrite inject_Z_mult, Pos2Z.inj_mul, inject_Z_mult. field. split; apply pos_nonzero.
Qed.
Lemma value_add X f g : value X (fadd f g) == value X f + value X g.
Proof.
rewrite (common_l X f g), (common_r X f g). unfold value at 1. cbn [terms power fadd].
rewrite dot_add. field. apply pos_nonzero.
Qed.
Lemma value_scale X k f : value X (fscale k f) == rational k * value X f.
Proof.
unfold value, rational, fraction. cbn [terms power below fscale]. rewrite dot_times, Pos2Z.inj_mul, inject_Z_mult.
rewrite Qpower_plus by exact two_nonzero. field. split; apply pos_nonzero.
Qed.
Lemma value_eqform X f g : eqform f g = true -> value X f == value X g.
Proof.
intro H. apply (dot_zeros _ (1 :: X)) in H. rewrite (common_l X f g), (common_r X f g).
rewrite dot_add, !dot_times, inject_Z_opp in H. rewrite !dot_times.
assert (E : inject_Z (fst (common f g)) * dot (terms f) (1 :: X) == inject_Z (snd (common f g)) * dot (terms g) (1 :: X)).
{ setoid_replace (inject_Z (fst (common f g)) * dot (terms f) (1 :: X)) with
    (inject_Z (fst (common f g)) * dot (terms f) (1 :: X) + - inject_Z (snd (common f g)) * dot (terms g) (1 :: X)
     + inject_Z (snd (common f g)) * dot (terms g) (1 :: X)) by ring.
  rewrite H. ring. }
rewrite E. reflexivity.
Qed.
Lemma dot_units : forall X s j, (s <= j)%nat ->
  dot (map (fun i => if Nat.eqb i j then 1%Z else 0%Z) (seq s (length X))) X == nth (j - s) X 0.
Proof.
assert (Z0 : forall m k j X, (j < k)%nat -> dot (map (fun i => if Nat.eqb i j then 1%Z else 0%Z) (seq k m)) X == 0).
{ intros m k j X H. apply dot_zeros. revert k H. induction m as [|m IH]; intros k H; simpl; [reflexivity|].
  destruct (Nat.eqb_spec k j); [lia|]. simpl. apply IH. lia. }
induction X as [|x X IH]; intros s j H; cbn [length seq map dot]; [now destruct (j - s)%nat|].
destruct (Nat.eqb_spec s j) as [->|E].
- rewrite Nat.sub_diag, Z0 by lia. cbn [nth]. ring.
- rewrite IH by lia. replace (j - s)%nat with (S (j - S s)) by lia. cbn [nth]. ring.
Qed.
Lemma inputs_rel X : Forall2 (fun q f => q == value X f) X (inputs (length X)).
Proof.
assert (U : forall j, value X (unit (length X) j) == nth j (1 :: X) 0).
{ intro j. unfold value, unit. cbn [terms power below]. change (S (length X)) with (length (1 :: X)).
  rewrite (dot_units (1 :: X) 0 j) by lia. rewrite Nat.sub_0_r. change ((2 # 1) ^ 0) with 1. field. }
unfold inputs. remember (length X) as n eqn:N.
assert (G : forall Y k, (forall j, (j < length Y)%nat -> nth j Y 0 == nth (k + j) X 0) ->
  Forall2 (fun q f => q == value X f) Y (map (fun j => unit n (S j)) (seq k (length Y)))).
{ induction Y as [|y Y IH]; intros k H; cbn [length seq map]; constructor.
  - rewrite U. cbn [nth]. specialize (H 0%nat). rewrite Nat.add_0_r in H. cbn [nth] in H. apply H. cbn. lia.
  - apply IH. intros j J. specialize (H (S j)). cbn [nth] in H. rewrite H by (cbn; lia).
    now replace (k + S j)%nat with (S k + j)%nat by lia. }
replace (seq 0 n) with (seq 0 (length X)) by now rewrite N. apply G. intros j _. reflexivity.
Qed.
Lemma all_fine {R} (net : list (layer R)) : Forall (fine_layer (fun _ => True)) net.
Proof.
assert (A : forall {T} (l : list T), Forall (fun _ => True) l) by (intros; apply Forall_forall; auto).
apply Forall_forall. intros l _. repeat split; try apply A.
apply Forall_forall. intros. apply A.
Qed.
Lemma forms_rel net ss X : length X = entries ss ->
  Forall2 (fun q f => q == value X f) (run net ss X) (forms net ss).
Proof.
intro L. unfold run, forms. rewrite <- L. rewrite <- (map_layer_id net) at 2.
apply output_rel with (fine := fun _ : number => True).
- reflexivity.
- reflexivity.
- intros a a' b b' -> ->. symmetry. apply value_add.
- intros k a a' _ ->. symmetry. apply value_scale.
- apply all_fine.
- apply cut_rel, inputs_rel.
Qed.

Theorem whole_sound A B ss : whole A B ss = true -> same ss A B.
Proof.
intros H X L. assert (a := forms_rel A ss X L). assert (b := forms_rel B ss X L).
revert H a b. unfold whole. generalize (forms A ss) (forms B ss) (run A ss X) (run B ss X).
induction l as [|f l IH]; intros [|g m] x y H a b; cbn [eqforms] in H; try discriminate; inversion a; inversion b; subst.
- constructor.
- apply andb_prop in H as [E H]. constructor; [|now apply (IH m)].
  match goal with [a : ?q == value X f, b : ?r == value X g |- _] => rewrite a, b end. now apply value_eqform.
Qed.
Print Assumptions whole_sound.
