(******************************************************************************)
(*      A float is an exact number, correctly rounded, or near it             *)
(*                                                                            *)
(*   within k r b == the float r is at most 2^b from the number k             *)
(*   half_ulp k r == |k - r| is at most half of the place of r                *)
(*   nearest == then no integer multiple of that place is closer to k         *)
(*   is_float p e r == r is 0 or has p digits, or stands at the least place e *)
(*   rounds p e k r == r is such a float, and no float is closer to k         *)
(*   near_enough p e b k r == that, or at most 2^b from k                     *)
(*   all_near good ks rs == good of them all, row by row; to be run           *)
(******************************************************************************)
Require Import List ZArith QArith Qpower Qabs Bool Lia.
From AlgebraicCNN.checker Require Import rational.
Open Scope Z_scope.

Record rounded := Rounded { digits : Z; place : Z }.
Definition as_rational (r : rounded) : Q := fraction (digits r) (place r) 1.
(* 2 |m 2^e / d - m' 2^e'| <= 2^e', in integers *)
Definition half_ulp (k : number) (r : rounded) : bool :=
  let low := Z.min (exponent k) (place r) in
  let q := mantissa k * 2 ^ (exponent k - low) in
  let y := digits r * 2 ^ (place r - low) * Zpos (divisor k) in
  2 * Z.abs (q - y) <=? 2 ^ (place r - low) * Zpos (divisor k).
(* |m 2^e / d - m' 2^e'| <= 2^b, in integers *)
Definition within (b : Z) (k : number) (r : rounded) : bool :=
  let low := Z.min (Z.min (exponent k) (place r)) b in
  let q := mantissa k * 2 ^ (exponent k - low) in
  let y := digits r * 2 ^ (place r - low) * Zpos (divisor k) in
  Z.abs (q - y) <=? 2 ^ (b - low) * Zpos (divisor k).

Open Scope Q_scope.
Lemma scaled m e d low : (low <= e)%Z -> fraction m e d == inject_Z (m * 2 ^ (e - low)) * (2 # 1) ^ low / inject_Z (Zpos d).
Proof.
intro L. unfold fraction. rewrite inject_Z_mult, power_two by lia.
setoid_replace ((2 # 1) ^ e) with ((2 # 1) ^ (e - low) * (2 # 1) ^ low).
- field. apply pos_nonzero.
- rewrite <- Qpower_plus by exact two_nonzero. now replace (e - low + low)%Z with e by lia.
Qed.
Lemma abs_scaled a low d : Qabs (inject_Z a * (2 # 1) ^ low / inject_Z (Zpos d))
  == inject_Z (Z.abs a) * (2 # 1) ^ low / inject_Z (Zpos d).
Proof.
unfold Qdiv. rewrite !Qabs_Qmult. rewrite (Qabs_pos ((2 # 1) ^ low)) by (apply Qpower_pos; discriminate).
rewrite (Qabs_pos (/ inject_Z (Zpos d))) by (apply Qinv_le_0_compat; discriminate). reflexivity.
Qed.
Lemma scaled_le a b low d : (a <= b)%Z ->
  inject_Z a * (2 # 1) ^ low / inject_Z (Zpos d) <= inject_Z b * (2 # 1) ^ low / inject_Z (Zpos d).
Proof.
intro H. unfold Qdiv. apply Qmult_le_compat_r; [|apply Qinv_le_0_compat; discriminate].
apply Qmult_le_compat_r; [now rewrite <- Zle_Qle|apply Qpower_pos; discriminate].
Qed.

(* the distance of a number from any multiple of the place *)
Lemma distance low k n e : (low <= exponent k)%Z -> (low <= e)%Z ->
  Qabs (rational k - fraction n e 1) == inject_Z (Z.abs (mantissa k * 2 ^ (exponent k - low) - n * 2 ^ (e - low) * Zpos (divisor k)))
    * (2 # 1) ^ low / inject_Z (Zpos (divisor k)).
Proof.
intros Lk Le. rewrite <- abs_scaled. apply Qabs_wd. unfold rational.
rewrite (scaled (mantissa k) (exponent k) (divisor k) low), (scaled n e 1 low) by assumption.
set (a := (mantissa k * 2 ^ (exponent k - low))%Z). set (b := (n * 2 ^ (e - low))%Z).
rewrite <- Z.add_opp_r, inject_Z_plus, inject_Z_opp, (inject_Z_mult _ (Zpos (divisor k))).
change (inject_Z 1) with 1. field. apply pos_nonzero.
Qed.

Theorem nearest k r n : half_ulp k r = true ->
  Qabs (rational k - as_rational r) <= Qabs (rational k - fraction n (place r) 1).
Proof.
intro H. unfold as_rational. rewrite !(distance (Z.min (exponent k) (place r))) by lia. apply scaled_le.
unfold half_ulp in H. apply Z.leb_le in H. set (low := Z.min _ _) in *.
set (u := (2 ^ (place r - low) * Zpos (divisor k))%Z) in *. set (q := (mantissa k * 2 ^ (exponent k - low))%Z) in *.
assert (U : (0 < u)%Z) by (unfold u; apply Z.mul_pos_pos; [apply Z.pow_pos_nonneg; lia|lia]).
replace (digits r * 2 ^ (place r - low) * Zpos (divisor k))%Z with (digits r * u)%Z in * by (unfold u; ring).
replace (n * 2 ^ (place r - low) * Zpos (divisor k))%Z with (n * u)%Z by (unfold u; ring).
destruct (Z.eq_dec n (digits r)) as [->|N]; [lia|].
assert (u <= Z.abs (digits r * u - n * u))%Z.
{ rewrite <- Z.mul_sub_distr_r, Z.abs_mul, (Z.abs_eq u) by lia. nia. }
lia.
Qed.

Open Scope Z_scope.
(* Floats of p digits whose places are at least e: where one is a power of two, those below it are twice as close. *)
Definition is_float (p e : Z) (r : rounded) : bool := (place r =? e) || (2 ^ (p - 1) <=? Z.abs (digits r)) && (e <=? place r).
Definition rounds (p e : Z) (k : number) (r : rounded) : bool :=
  let low := Z.min (exponent k) (place r) in
  let q := mantissa k * 2 ^ (exponent k - low) in
  let y := digits r * 2 ^ (place r - low) * Zpos (divisor k) in
  is_float p e r && half_ulp k r
  && ((Z.abs y <=? Z.abs q) || (4 * Z.abs (q - y) <=? 2 ^ (place r - low) * Zpos (divisor k))
      || negb (Z.abs (digits r) =? 2 ^ (p - 1)) || (place r =? e)).

Open Scope Q_scope.
Lemma closest M q y w f D : (0 < w)%Z -> (0 < M)%Z -> y = (D * (2 * w))%Z -> (M <= Z.abs D)%Z ->
  (Z.abs f <= (2 * M - 1) * w)%Z -> (Z.abs (q - y) <= w)%Z ->
  (Z.abs y <= Z.abs q \/ 2 * Z.abs (q - y) <= w \/ Z.abs D <> M)%Z -> (Z.abs (q - y) <= Z.abs (q - f))%Z.
Proof.
intros W P Y N F H C. destruct (Z.eq_dec (Z.abs D) M) as [E|E].
- assert (Z.abs y = 2 * M * w)%Z by (subst y; rewrite Z.abs_mul, (Z.abs_eq (2 * w)) by lia; rewrite E; ring). lia.
- assert (2 * M * w + 2 * w <= Z.abs y)%Z.
  { subst y. rewrite Z.abs_mul, (Z.abs_eq (2 * w)) by lia.
    assert (A : ((M + 1) * (2 * w) <= Z.abs D * (2 * w))%Z) by (apply Z.mul_le_mono_nonneg_r; lia). lia. }
  lia.
Qed.

Theorem roundsP p e k r n e' : (1 <= p)%Z -> rounds p e k r = true -> (Z.abs n < 2 ^ p)%Z -> (e <= e')%Z ->
  Qabs (rational k - as_rational r) <= Qabs (rational k - fraction n e' 1).
Proof.
intros P H N E. unfold rounds in H. apply andb_prop in H as [H C]. apply andb_prop in H as [Fl H].
destruct (Z.le_gt_cases (place r) e') as [L|L].
{ replace e' with (place r + (e' - place r))%Z by lia.
  assert (S : fraction n (place r + (e' - place r)) 1 == fraction (n * 2 ^ (e' - place r)) (place r) 1).
  { unfold fraction. rewrite Qpower_plus by exact two_nonzero. rewrite inject_Z_mult, power_two by lia. field. }
  rewrite S. now apply nearest. }
unfold is_float in Fl. destruct (Z.eqb_spec (place r) e) as [X|X]; [lia|]. simpl in Fl.
apply andb_prop in Fl as [Fl _]. apply Z.leb_le in Fl.
unfold half_ulp in H. apply Z.leb_le in H. unfold as_rational.
set (low := Z.min (Z.min (exponent k) (place r)) e').
assert (L1 : (low <= place r - 1)%Z) by (unfold low; clear -L; lia).
assert (L2 : (low <= e')%Z) by (unfold low; clear; lia).
assert (L3 : (low <= Z.min (exponent k) (place r))%Z) by (unfold low; clear; lia).
assert (L4 : (Z.min (exponent k) (place r) <= place r)%Z) by (clear; lia).
assert (L5 : (Z.min (exponent k) (place r) <= exponent k)%Z) by (clear; lia).
rewrite !(distance low) by (clear -L1 L2 L3 L5; lia). apply scaled_le.
set (l := Z.min (exponent k) (place r)) in *. clearbody low l. set (s := (2 ^ (l - low))%Z).
assert (Sp : (0 < s)%Z) by (apply Z.pow_pos_nonneg; lia).
assert (Up : forall a, (l <= a)%Z -> (2 ^ (a - low) = 2 ^ (a - l) * s)%Z).
{ intros a A. unfold s. rewrite <- Z.pow_add_r by lia. f_equal. lia. }
rewrite (Up (exponent k)), (Up (place r)) by lia.
set (q := (mantissa k * 2 ^ (exponent k - l))%Z) in *. set (u := (2 ^ (place r - l) * Zpos (divisor k))%Z) in *.
replace (mantissa k * (2 ^ (exponent k - l) * s))%Z with (q * s)%Z by (unfold q; ring).
replace (digits r * 2 ^ (place r - l) * Zpos (divisor k))%Z with (digits r * u)%Z in * by (unfold u; ring).
replace (digits r * (2 ^ (place r - l) * s) * Zpos (divisor k))%Z with (digits r * u * s)%Z by (unfold u; ring).
set (w := (2 ^ (place r - 1 - low) * Zpos (divisor k))%Z).
assert (Wp : (0 < w)%Z) by (apply Z.mul_pos_pos; [apply Z.pow_pos_nonneg; lia|lia]).
assert (Uw : (u * s = 2 * w)%Z).
{ unfold u, w. replace (2 ^ (place r - l) * Zpos (divisor k) * s)%Z with (2 ^ (place r - low) * Zpos (divisor k))%Z
    by (rewrite Up by lia; ring).
  replace (place r - low)%Z with (Z.succ (place r - 1 - low)) by lia.
  rewrite Z.pow_succ_r by lia. ring. }
assert (V : (2 ^ (e' - low) * Zpos (divisor k) <= w)%Z).
{ unfold w. apply Z.mul_le_mono_nonneg_r; [lia|]. apply Z.pow_le_mono_r; lia. }
assert (V0 : (0 < 2 ^ (e' - low) * Zpos (divisor k))%Z)
  by (apply Z.mul_pos_pos; [apply Z.pow_pos_nonneg; lia|lia]).
set (M := (2 ^ (p - 1))%Z) in *. assert (Mp : (0 < M)%Z) by (apply Z.pow_pos_nonneg; lia).
assert (PM : (2 ^ p = 2 * M)%Z) by (unfold M; rewrite <- Z.pow_succ_r by lia; f_equal; lia).
apply (closest M) with (w := w) (D := digits r); try assumption.
- rewrite <- Uw. ring.
- rewrite <- Z.mul_assoc, Z.abs_mul, (Z.abs_eq (2 ^ (e' - low) * Zpos (divisor k))) by lia.
  apply Z.le_trans with ((2 * M - 1) * (2 ^ (e' - low) * Zpos (divisor k)))%Z.
  + apply Z.mul_le_mono_nonneg_r; lia.
  + apply Z.mul_le_mono_nonneg_l; lia.
- rewrite <- Z.mul_sub_distr_r, Z.abs_mul, (Z.abs_eq s) by lia.
  assert (A : (2 * Z.abs (q - digits r * u) * s <= u * s)%Z) by (apply Z.mul_le_mono_nonneg_r; lia). lia.
- rewrite <- Z.mul_sub_distr_r, !Z.abs_mul, !(Z.abs_eq s) by lia. rewrite Bool.orb_false_r in C.
  apply Bool.orb_true_iff in C as [C|C]; [apply Bool.orb_true_iff in C as [C|C]|].
  + left. apply Z.leb_le in C. apply Z.mul_le_mono_nonneg_r; lia.
  + right; left. apply Z.leb_le in C.
    assert (A : (4 * Z.abs (q - digits r * u) * s <= u * s)%Z) by (apply Z.mul_le_mono_nonneg_r; lia). lia.
  + right; right. apply Bool.negb_true_iff, Z.eqb_neq in C. exact C.
Qed.

Theorem withinP b k r : within b k r = true -> Qabs (rational k - as_rational r) <= (2 # 1) ^ b.
Proof.
unfold within. set (low := Z.min (Z.min (exponent k) (place r)) b). intro H. apply Z.leb_le in H.
unfold as_rational. rewrite (distance low) by (unfold low; lia).
setoid_replace ((2 # 1) ^ b) with (inject_Z (2 ^ (b - low) * Zpos (divisor k)) * (2 # 1) ^ low / inject_Z (Zpos (divisor k))).
- now apply scaled_le.
- rewrite inject_Z_mult, power_two by (unfold low; lia).
  setoid_replace ((2 # 1) ^ b) with ((2 # 1) ^ (b - low) * (2 # 1) ^ low).
  + field. apply pos_nonzero.
  + rewrite <- Qpower_plus by exact two_nonzero. now replace (b - low + low)%Z with b by lia.
Qed.

Fixpoint near {A B : Type} (good : A -> B -> bool) (ks : list A) (rs : list B) : bool :=
  match ks, rs with k :: ks', r :: rs' => good k r && near good ks' rs' | nil, nil => true | _, _ => false end.
Definition all_near {A B : Type} (good : A -> B -> bool) : list (list A) -> list (list B) -> bool := near (near good).
Lemma nearP {A B : Type} (good : A -> B -> bool) (P : A -> B -> Prop) : (forall k r, good k r = true -> P k r) ->
  forall ks rs, near good ks rs = true -> Forall2 P ks rs.
Proof.
intros H ks. induction ks as [|k ks IH]; intros [|r rs] E; cbn [near] in E; try discriminate; constructor.
- apply andb_prop in E as [E _]. now apply H.
- apply andb_prop in E as [_ E]. now apply IH.
Qed.

(* what the checker finds of the weights of a layer, and the floats that a network holds in their place *)
Theorem correctly_rounded p e ks rs : (1 <= p)%Z -> all_near (rounds p e) ks rs = true ->
  Forall2 (Forall2 (fun k r => forall n e', (Z.abs n < 2 ^ p)%Z -> (e <= e')%Z ->
    Qabs (rational k - as_rational r) <= Qabs (rational k - fraction n e' 1))) ks rs.
Proof. intro P. apply nearP. intros k r. apply nearP. intros. now apply (roundsP p e). Qed.
Definition near_enough (p e b : Z) (k : number) (r : rounded) : bool := rounds p e k r || within b k r.
Theorem nearly_rounded p e b ks rs : (1 <= p)%Z -> all_near (near_enough p e b) ks rs = true ->
  Forall2 (Forall2 (fun k r => Qabs (rational k - as_rational r) <= (2 # 1) ^ b \/
    forall n e', (Z.abs n < 2 ^ p)%Z -> (e <= e')%Z ->
      Qabs (rational k - as_rational r) <= Qabs (rational k - fraction n e' 1))) ks rs.
Proof.
intro P. apply nearP. intros k r. apply nearP. intros k' r' H. apply Bool.orb_true_iff in H as [H|H].
- right. intros. now apply (roundsP p e).
- left. now apply withinP.
Qed.

Print Assumptions nearest.
Print Assumptions roundsP.
Print Assumptions withinP.
Print Assumptions correctly_rounded.
Print Assumptions nearly_rounded.
